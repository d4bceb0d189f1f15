"""iyzico's face: the Checkout Form with pre-authorization, and what can be done with its payments afterwards."""
