"""What a booking costs, and how many a machine sustains: measured on real servers, side by side with simpler things."""
