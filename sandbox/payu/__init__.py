"""The sandbox's PayU API: what PayU documents about REST API 2.1 of PayU GPO Europe."""
