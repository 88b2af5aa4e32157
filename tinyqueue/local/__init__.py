"""Services and processes of one machine: private Redis and RabbitMQ servers that end with it."""
