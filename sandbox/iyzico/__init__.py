"""iyzico's API: the Checkout Form with pre-authorization, and what can be done with its payments afterwards."""
