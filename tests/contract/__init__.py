"""What every store promises, held on the one in memory and on the real adapters alike."""
