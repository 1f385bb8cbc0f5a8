"""Networks: real proxies in front of Tokentail, what each does to its answers, and how clients get through."""
