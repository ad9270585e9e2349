-module(erlmcp_mcp_tests).
-include_lib("eunit/include/eunit.hrl").

answers_test_() ->
    [{Text, ?_assertMatch(#{error := #{code := Code}, id := Id}, erlmcp_mcp:answer(ok, Text))} || {Text, Id, Code} <- [
        {<<"{">>, null, -32700}, {<<"[]">>, null, -32600}, {<<"{\"jsonrpc\":\"1.0\",\"method\":\"ping\",\"id\":1}">>, null, -32600},
        {<<"{\"jsonrpc\":\"2.0\",\"method\":\"teapot\",\"id\":\"a\"}">>, <<"a">>, -32601},
        {<<"{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"id\":2,\"params\":{\"name\":\"x\"}}">>, 2, -32602}
    ]].

notification_test() ->
    ?assertEqual(none, erlmcp_mcp:answer(ok, <<"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}">>)).

echo_test() ->
    Text = <<"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"text\":\"hi\"}}}">>,
    ?assertMatch(#{result := #{content := [#{text := <<"hi">>}]}}, erlmcp_mcp:answer(ok, Text)).

told_to_fail_test() ->
    Text = <<"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}">>,
    ?assertMatch(#{error := #{code := -32603}}, erlmcp_mcp:answer(error, Text)),
    ?assertEqual(#{protocolVersion => <<"1999-01-01">>}, maps:get(result, erlmcp_mcp:answer(wrong, Text))).
