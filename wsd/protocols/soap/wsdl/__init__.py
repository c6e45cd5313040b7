"""
WSDL 1.1: the contract of a service.

- `contract`: the operations, their messages, and the types of the messages
- `reader`: reads a contract from a WSDL or from a bare schema
- `writer`: writes a contract as a WSDL, for a transport
"""
