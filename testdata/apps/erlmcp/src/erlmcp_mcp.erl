%% @doc The Model Context Protocol, as far as it is spoken here: JSON-RPC 2.0 with initialize, ping and one tool.
-module(erlmcp_mcp).

-export([answer/2]).

-define(PROTOCOL, <<"2025-06-18">>).

%% @doc The answer to one request, or none to a notification.
answer(Fault, Body) ->
    case erlmcp_json:decode(Body) of
        {error, invalid} -> failure(null, -32700, <<"parse error">>);
        {ok, #{<<"jsonrpc">> := <<"2.0">>, <<"method">> := Method} = Request} when is_binary(Method), Method =/= <<>> ->
            method(Fault, Method, Request);
        {ok, _} -> failure(null, -32600, <<"invalid request">>)
    end.

method(Fault, Method, #{<<"id">> := Id} = Request) ->
    Params = maps:get(<<"params">>, Request, #{}),
    case call(Fault, Method, Params) of
        {ok, Result} -> #{jsonrpc => <<"2.0">>, id => Id, result => Result};
        {error, Code, Message} -> failure(Id, Code, Message)
    end;
method(_, _, _) ->
    none.

call(error, <<"initialize">>, _) ->
    {error, -32603, <<"erlmcp was told to fail">>};
call(wrong, <<"initialize">>, _) ->
    {ok, #{protocolVersion => <<"1999-01-01">>}};
call(_, <<"initialize">>, _) ->
    erlmcp_store:create(initialize),
    {ok, #{protocolVersion => ?PROTOCOL, capabilities => #{tools => #{}},
        serverInfo => #{name => <<"erlmcp">>, version => erlmcp_app:version()}}};
call(_, <<"ping">>, _) ->
    {ok, #{}};
call(_, <<"tools/list">>, _) ->
    {ok, #{tools => [#{name => <<"echo">>, description => <<"Says what it is told.">>,
        inputSchema => #{type => object, properties => #{text => #{type => string}}}}]}};
call(_, <<"tools/call">>, #{<<"name">> := <<"echo">>, <<"arguments">> := #{<<"text">> := Text}}) when is_binary(Text) ->
    {ok, #{content => [#{type => text, text => Text}]}};
call(_, <<"tools/call">>, _) ->
    {error, -32602, <<"invalid params">>};
call(_, Method, _) ->
    {error, -32601, <<"method not found: ", Method/binary>>}.

failure(Id, Code, Message) ->
    #{jsonrpc => <<"2.0">>, id => Id, error => #{code => Code, message => Message}}.
