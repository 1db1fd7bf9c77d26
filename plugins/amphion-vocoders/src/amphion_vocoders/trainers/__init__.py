"""How the plugin's models are trained."""
