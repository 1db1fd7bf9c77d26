"""Features that an autoencoder makes."""
