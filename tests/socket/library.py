"""A contract as public services have them: 22 operations on nested types, in SOAP 1.1."""

from __future__ import annotations

ENTITIES = ("Book", "Author", "Reader", "Loan", "Branch")
VERBS = {
    "Get": '<xs:element name="id" type="xs:int"/>',
    "Put": '<xs:element name="{0}" type="l:{0}"/>',
    "List": '<xs:element name="{0}" type="l:{0}" minOccurs="0" maxOccurs="unbounded"/>',
    "Tag": '<xs:element name="tag" type="xs:string" maxOccurs="unbounded"/><xs:element name="{0}" type="l:{0}"/>',
}
MORE = {
    "Slow": '<xs:element name="milliseconds" type="xs:int"/><xs:element name="text" type="xs:string"/>',
    "Fail": '<xs:element name="text" type="xs:string"/>',
}
OPERATIONS = {
    **{f"{verb}{entity}": content.format(entity) for entity in ENTITIES for verb, content in VERBS.items()},
    **MORE,
}
_ENTITY = """<xs:complexType name="{0}"><xs:sequence>
  <xs:element name="id" type="xs:int"/><xs:element name="name" type="xs:string"/>
  <xs:element name="price" type="xs:decimal" minOccurs="0"/><xs:element name="since" type="xs:date" minOccurs="0"/>
  <xs:element name="address" type="l:Address" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType>"""
_ADDRESS = """<xs:complexType name="Address"><xs:sequence><xs:element name="street" type="xs:string"/>
  <xs:element name="place"><xs:complexType><xs:sequence><xs:element name="code" type="xs:string"/>
  <xs:element name="city" type="xs:string"/></xs:sequence></xs:complexType></xs:element>
  </xs:sequence></xs:complexType>"""


def wsdl(location: str) -> str:
    """The contract, for a service at this URL."""
    types = _ADDRESS + "".join(_ENTITY.format(entity) for entity in ENTITIES)
    elements, messages, operations, bound = "", "", "", ""
    for name, content in OPERATIONS.items():
        for each in (name, f"{name}Response"):
            elements += (
                f'<xs:element name="{each}"><xs:complexType><xs:sequence>{content}</xs:sequence>'
                "</xs:complexType></xs:element>"
            )
            messages += f'<wsdl:message name="{each}"><wsdl:part name="parameters" element="l:{each}"/></wsdl:message>'
        operations += (
            f'<wsdl:operation name="{name}"><wsdl:input message="l:{name}"/>'
            f'<wsdl:output message="l:{name}Response"/></wsdl:operation>\n'
        )
        bound += (
            f'<wsdl:operation name="{name}"><s:operation soapAction="urn:library/{name}"/>'
            '<wsdl:input><s:body use="literal"/></wsdl:input><wsdl:output><s:body use="literal"/></wsdl:output>'
            "</wsdl:operation>\n"
        )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<wsdl:definitions name="Library" targetNamespace="urn:library" xmlns:l="urn:library"
    xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:xs="http://www.w3.org/2001/XMLSchema">
<wsdl:types>
<xs:schema targetNamespace="urn:library" elementFormDefault="qualified">{types}{elements}</xs:schema>
</wsdl:types>
{messages}
<wsdl:portType name="Library">{operations}</wsdl:portType>
<wsdl:binding name="LibrarySoap11" type="l:Library">
<s:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>{bound}</wsdl:binding>
<wsdl:service name="Library"><wsdl:port name="Soap11" binding="l:LibrarySoap11"><s:address location="{location}"/>
</wsdl:port></wsdl:service></wsdl:definitions>"""
