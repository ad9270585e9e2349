-module(erlmcp_health_tests).
-include_lib("eunit/include/eunit.hrl").

worst_test_() ->
    [?_assertEqual(Want, erlmcp_health:worst(All)) || {All, Want} <- [
        {[], healthy}, {[healthy, disabled], healthy}, {[healthy, degraded], degraded}, {[degraded, unhealthy], unhealthy}
    ]].

memory_test() ->
    ?assertEqual(healthy, erlmcp_health:memory(79, 100)),
    ?assertEqual({unhealthy, <<"80 % are used">>}, erlmcp_health:memory(80, 100)),
    ?assertEqual(healthy, erlmcp_health:memory(80, unknown)),
    ?assertEqual(5, erlmcp_health:limit(5)),
    ?assert(erlmcp_health:limit(system) > 1 bsl 20).

tcps_test() ->
    Gates = #{pass_rate => 95, coverage => 80},
    ?assertEqual(disabled, erlmcp_tcps:judge(disabled, #{})),
    ?assertEqual(ok, erlmcp_tcps:judge(Gates, #{pass_rate => 95, coverage => 100})),
    ?assertEqual({error, <<"coverage is 79, want 80">>}, erlmcp_tcps:judge(Gates, #{pass_rate => 100, coverage => 79})),
    ?assertEqual({error, <<"coverage is 0, want 80">>}, erlmcp_tcps:judge(Gates, #{})).

df_test() ->
    Text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 1000 420 580 42% /\n",
    ?assertEqual(42, erlmcp_disk:parse(Text)),
    ?assertEqual(unknown, erlmcp_disk:parse("df: no such thing\n")).
