"""What moto lacks of EC2 networks."""
