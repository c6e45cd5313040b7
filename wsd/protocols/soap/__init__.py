"""
SOAP over WebSocket ([MS-SWSB]): services written in Python, and a gateway to existing ones.

The way of a call:

- `protocol`: the route and its WebSocket; `pages`: the route over HTTP; `options`: the keys of a route
- `reader`: parses a message with the `parsers`
- `node`: answers a request; `gateway`: forwards it to an upstream service; `exchange`: what both share
- `envelope`: versions, header blocks and WS-Addressing; `faults`; `contenttype`; `names`
- `service`: a contract and the Python functions behind it; `functions`: how a function takes the values of a request

What a service offers:

- `wsdl`: reads contracts from a WSDL or a schema, and writes them as a WSDL
- `schema`: XML Schema: validates elements, reads them as Python values, and writes values
- `offer`: a service whose contract is written from its annotations
- `demonstration`: the service of a route that configures none

For people and clients:

- `page`: the page of a route; `sample`: the requests on it
- `zeeptransport`: a WebSocket for zeep

Authors of services import from `service`, `offer` and `zeeptransport`. All else is private to this package.
"""
