"""What people and programs reach the running assistant by: each watches its events, and acts through `Service`."""
