"""Cloud vendors as small local servers, and the contract that every vendor's client keeps."""
