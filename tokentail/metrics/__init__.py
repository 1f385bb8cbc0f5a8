"""What web and worker processes expose alike. The core reports facts and knows nothing of Prometheus."""
