"""Event source mappings of DynamoDB streams, driven as AWS Lambda drives them."""
