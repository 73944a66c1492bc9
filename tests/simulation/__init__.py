"""Seeded simulation of the services under faults, and the auditor that judges what they stored."""
