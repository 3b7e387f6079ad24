"""The MCP server `jupyter flow mcp`: a session for agents, in few tools with small answers."""
