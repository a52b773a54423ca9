"""Objects with the methods of a vendor's client, served through the router: an application changes one line."""
