package server

import _ "embed"

// openAPI is the description of the intake, which getOpenAPI returns. Its schemas
// are JSON Schema 2020-12, as OpenAPI 3.1 has them.
//
//go:embed openapi.json
var openAPI []byte

// OpenAPI returns the description.
func OpenAPI() []byte { return append([]byte{}, openAPI...) }
