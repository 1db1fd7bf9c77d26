"""Small components of every family: a plugin of somebody else, which the tests install and train."""
