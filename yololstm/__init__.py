"""Shop CCTV in, named abnormal behaviour out: theft, assault, damage, normal."""

__version__ = "0.1.0"
