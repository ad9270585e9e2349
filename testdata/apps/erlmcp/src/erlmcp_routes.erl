%% @doc What is answered where.
-module(erlmcp_routes).

-export([answer/3, plain/2]).

answer(<<"GET">>, <<"/health">>, _) -> health(all);
answer(<<"GET">>, <<"/health/ready">>, _) -> health(ready);
answer(<<"GET">>, <<"/health/live">>, _) -> health(live);
answer(<<"GET">>, <<"/health/startup">>, _) -> health(startup);
answer(<<"GET">>, <<"/metrics">>, _) -> {200, [{"Content-Type", "text/plain; version=0.0.4"}], erlmcp_metrics:prometheus()};
answer(<<"GET">>, <<"/version">>, _) -> plain(200, [erlmcp_app:version(), "\n"]);
answer(<<"POST">>, <<"/mcp">>, Body) -> mcp(erlmcp_fault:get(mcp), Body);
answer(_, <<"/mcp">>, _) -> plain(405, <<"want POST\n">>);
answer(_, _, _) -> plain(404, <<"not found\n">>).

plain(Status, Body) ->
    {Status, [{"Content-Type", "text/plain"}], Body}.

json(Status, Term) ->
    {Status, [{"Content-Type", "application/json"}], [erlmcp_json:encode(Term), $\n]}.

health(Scope) ->
    case [F || F <- [redirect, garbage, brackets], erlmcp_fault:get(F)] of
        [redirect | _] -> {302, [{"Location", "/login"}], <<>>};
        [garbage | _] -> {200, [{"Content-Type", "application/json"}], <<0, "\e[31m", 255, "{]garbage\n">>};
        [brackets | _] -> {200, [{"Content-Type", "application/json"}], binary:copy(<<"[">>, 2 * 1024 * 1024)};
        [] ->
            Document = #{status := Status} = erlmcp_health:document(Scope),
            json(case Status of unhealthy -> 503; _ -> 200 end, Document)
    end.

mcp(status, _) ->
    plain(500, <<"erlmcp was told to fail\n">>);
mcp(Fault, Body) ->
    case erlmcp_pool:transaction(fun() -> erlmcp_mcp:answer(Fault, Body) end) of
        none -> {202, [], <<>>};
        {error, full} -> plain(503, <<"no worker is free\n">>);
        Answer -> json(200, Answer)
    end.
