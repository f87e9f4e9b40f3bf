"""What people and programs do, the same through whichever edge they come: the only writers besides the flow."""
