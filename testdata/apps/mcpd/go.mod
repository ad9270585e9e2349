module mcpd

go 1.26
