-module(erlmcp_json_tests).
-include_lib("eunit/include/eunit.hrl").

decode_test_() ->
    [?_assertEqual({ok, Want}, erlmcp_json:decode(Text)) || {Text, Want} <- [
        {<<"null">>, null}, {<<" true ">>, true}, {<<"-12">>, -12}, {<<"1.5e2">>, 150.0}, {<<"1e3">>, 1000.0},
        {<<"\"a\\n\\u00e9\\ud83d\\ude00\"">>, <<"a\n"/utf8, 16#e9/utf8, 16#1f600/utf8>>},
        {<<"[1, [], {}]">>, [1, [], #{}]},
        {<<"{\"a\": {\"b\": [false]}}">>, #{<<"a">> => #{<<"b">> => [false]}}}
    ]].

garbage_test_() ->
    [?_assertEqual({error, invalid}, erlmcp_json:decode(Text)) || Text <- [
        <<>>, <<"{">>, <<"[1,]">>, <<"{\"a\"}">>, <<"01">>, <<"1 2">>, <<"\"", 10, "\"">>, <<"\"", 255, "\"">>,
        <<"\"\\ud800\"">>, <<"{a: 1}">>, <<(binary:copy(<<"[">>, 100))/binary, (binary:copy(<<"]">>, 100))/binary>>
    ]].

encode_test() ->
    Term = #{b => [1, 2.5, true, null], a => #{<<"x">> => <<"q\"\\\n", 1, 16#e9/utf8>>}},
    Text = erlmcp_json:encode(Term),
    ?assertEqual(<<"{\"a\":{\"x\":\"q\\\"\\\\\\n\\u0001", 16#e9/utf8, "\"},\"b\":[1,2.5,true,null]}">>, Text),
    ?assertMatch({ok, #{<<"b">> := [1, 2.5, true, null]}}, erlmcp_json:decode(Text)).
