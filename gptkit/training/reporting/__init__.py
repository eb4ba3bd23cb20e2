"""What a run writes down about itself: metrics, samples, speed, summary, report."""
