"""Telling the deployment's receivers of jobs' ends: signing, sending, trying again."""
