"""Application services: what people and programs do, whichever edge they use. Only services and the flow write."""
