"""The CDK app: one construct per capability, no application code imported."""
