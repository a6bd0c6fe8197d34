"""The collector: events over HTTP, judged by their contract, acknowledged when Kafka has them."""
