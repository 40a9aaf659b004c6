"""How a compressor is measured: tasks, metrics, baselines, runner, report."""
