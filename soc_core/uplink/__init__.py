"""Say how an agent and its centre talk: batches up, orders down. Both sides use this and nothing else."""
