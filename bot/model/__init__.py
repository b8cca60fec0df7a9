"""What saasbot knows and decides, as frozen values without behaviour."""
