"""
SOAP over WebSocket ([MS-SWSB]): services written in Python, and a gateway to those that exist.

From the message up: `names`, `reading` (hardened XML), `faults`, `envelope` (1.2 and 1.1, mustUnderstand,
addressing), `simple`, `schema`, `values` and `types` (typed values of XML Schema), `contract` (a WSDL or XSD),
`service` (Python behind it), `offer` (Python that writes its contract itself), `node` (a request becomes an answer),
`gateway` (another gives it), `demonstration`, `protocol` (the WebSocket), `pages` (HTTP).
"""
