"""
SOAP over WebSocket ([MS-SWSB]): services written in Python, and a gateway to those that exist.

From the message up: `names`, `reading` (hardened XML), `faults`, `envelope` (1.2 and 1.1, mustUnderstand, addressing),
`simple`, `schema` and `types` (typed values of XML Schema), `contract` (a WSDL or XSD), `service` (Python behind it),
`node` (a request becomes an answer), `demonstration`, `protocol` (the WebSocket), `pages` (HTTP).
"""
