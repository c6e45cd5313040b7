"""
WSDL 1.1: what a service offers.

- `contract`: the operations, their messages, and the types of these
- `reader`: reads a contract from a WSDL or from a bare schema
- `writer`: writes a contract as a WSDL, for a transport
"""
