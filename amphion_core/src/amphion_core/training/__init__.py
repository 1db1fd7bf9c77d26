"""Training: what a ModelTrainer states, and the engine that carries it out."""
