"""Everything that runs in a worker process and may import torch."""
