"""
XML Schema 1.0: reads elements as Python values with the schemas of a contract, and writes values.

Reading the schemas:

- `documents`: the schema documents, and the validator that libxml2 makes of them
- `validator`: validates an element at a bounded cost
- `types`: the types of a contract by name
- `simpletypes`, `complextypes`: declarations of types
- `particles`: declarations of content models and attributes
- `layout`: the fields of a complex type, and the dataclass of its values
- `derivations`: which types derive from others, and which elements substitute for others

Reading and writing values:

- `datatypes`: simple types: lists, unions and enumerations; `builtin`: the built-in ones
- `values`: complex types; `fields`: their children and attributes
- `content`: content in which the order of the children matters, or with text between them
- `anytype`: xs:anyType
- `tags`: tags and attributes as text
"""
