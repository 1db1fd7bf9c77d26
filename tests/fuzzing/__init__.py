"""Broken inputs for every command: each must end in a result, or in one clear sentence with exit code 2."""
