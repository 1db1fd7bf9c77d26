"""How an evaluation runs: pair files, measure them in processes, store and summarise the scores."""
