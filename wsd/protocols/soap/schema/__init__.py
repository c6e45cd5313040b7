"""
XML Schema 1.0: from the schemas of a contract to values of Python, and back.

Reading the schemas:

- `documents`: the schema documents, and the validator that libxml2 makes of them
- `validator`: validates an element at a bounded cost
- `types`: the types of a contract by name
- `particles`: the content model of a complex type and the fields of its values
- `derivations`: which types derive from which, and which elements substitute for which

Reading and writing values:

- `builtin`: the built-in datatypes (part 2)
- `simple`: lists, unions and enumerations of them
- `fields`, `values`: complex types, whose values have a field for each child and attribute
- `content`: content in which the order of the children counts, or text stands between them
- `anytype`: xs:anyType
- `tags`: tags and attributes as text
"""
