"""Networks: text encoders and models of sounds, one file each."""
