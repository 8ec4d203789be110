"""What `edgevid bench` measures with: scenarios, statistics, results."""
