"""Data: manifests, features on disk, batch plans, and the loader that trainers read from."""
