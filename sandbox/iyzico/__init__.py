"""iyzico's API: the Checkout Form with pre-authorization, and the calls for its payments."""
